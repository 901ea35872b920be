"""What was found: records, images and figures; plain data, without files and without the loop."""
