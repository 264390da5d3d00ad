"""Look at the images before anything is trained: what changed since the champion, and is it as it should be?"""
