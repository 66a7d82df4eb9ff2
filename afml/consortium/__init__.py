"""Who takes part in what: the roster, its kits and cards, the signed run, and what every party must agree on."""
