"""`python -m afml` is the `afml` command."""

from afml.cli.main import main

if __name__ == "__main__":
    main()
