"""What an operator looks at: where runs stand, and what is wrong with a machine; nothing here changes anything."""
