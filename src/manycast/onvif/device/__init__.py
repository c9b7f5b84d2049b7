"""The device service, a module for each subject."""
