"""Side-by-side measurements, each a script that prints one JSON line. None of them runs in the tests."""
