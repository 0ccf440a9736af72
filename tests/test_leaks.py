"""What the camera gives away unasked: error texts, files, header fields, console, open ports."""
