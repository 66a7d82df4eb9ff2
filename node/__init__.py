"""The institution's process: pull a round, train, spend, encrypt, submit, apply."""
