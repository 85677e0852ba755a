"""Jobs: work that goes on after the answer, and may be begun again without being done twice."""
