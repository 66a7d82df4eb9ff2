"""Generated from proto/ by tools/wire.py; never edited by hand."""
