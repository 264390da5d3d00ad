"""What a stage's frozen layers put out, computed once per image and view instead of once per image and epoch."""
