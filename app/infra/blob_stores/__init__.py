"""Where the bytes of uploaded files may be kept: a folder, a bucket, a table."""
