"""The first hour on a GPU: everything worth measuring, in steps that resume."""
