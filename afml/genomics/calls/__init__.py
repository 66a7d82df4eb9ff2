"""From a record of whatever source to what it says of each person at the panel's sites."""
