"""Matrices of measurements (expression, proteins, metabolites): cut into public bins, masked and released as bins"""
