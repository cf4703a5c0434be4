"""How things are run: files, cache, processes, batches, precision. Nothing in here knows of WiSE-FT."""
