"""Images as people have them: files, and what is known of them beside their pixels."""
