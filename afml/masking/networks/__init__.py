"""Networks and features: the risk model, the Masking Network, the Identification Network."""
