"""pytest-goldsmith: what a suite of an image's own tests is written with (docs/pytest.md)."""
