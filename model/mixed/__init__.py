"""The mixed engine: convolutions on the systolic engine, dense layers on the sparse one."""
