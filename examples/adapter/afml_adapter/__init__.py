"""An adapter on a frozen network of ten million parameters: an example of a task for AFML."""
