"""The releases of a home folder: what each says of itself, which is the champion, and every change of it."""
