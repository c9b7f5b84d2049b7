"""What fills a stream: files, test patterns, devices, pulls. PyAV is imported late, by what needs it."""
