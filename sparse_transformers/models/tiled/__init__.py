"""The tiled kernel: a pattern becomes views, views become bands, a band is cut into launches."""
