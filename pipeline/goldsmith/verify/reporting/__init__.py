"""A report as files: one page for people, JUnit XML for build servers, JSON and a table for everything else."""
