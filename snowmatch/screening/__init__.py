"""Where in a photo the animal is, told from the scenery."""
