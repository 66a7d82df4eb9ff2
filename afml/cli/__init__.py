"""The `afml` command: one module per verb, loaded only when its verb is used."""
