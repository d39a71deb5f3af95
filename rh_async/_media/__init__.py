"""Local media files: their type, structure, duration and pixels, read before anything is sent."""
