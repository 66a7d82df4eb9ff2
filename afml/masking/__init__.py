"""The masking task: a risk model and a game between a Masking and an Identification Network."""
