"""What each command of `thaw` does, one module per command; each is imported when it is called."""
