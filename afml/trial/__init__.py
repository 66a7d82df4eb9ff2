"""A whole consortium on one machine: processes, their order, and what people try before they install."""
