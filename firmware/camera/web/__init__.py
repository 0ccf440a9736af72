"""HTTP on the camera: what is read from a socket before microdot sees it, and what is sent back."""
