"""The CKKS backend's half that holds keys."""
