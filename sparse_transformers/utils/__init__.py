"""What every room needs: the runtime, files that are written whole, plots, text and data sets."""
