"""Measured traffic into answers: the 168 hours of the week, the month, the peak, the growth.

`csv_file.read_csv` reads a file, `cloudwatch.read_cloudwatch` a running endpoint. Nothing is
imported here: a terminal that asks for something else need not wait for pandas.
"""
