"""Proofs about components, for all inputs and without a bound in time. In: components. Out: verdicts.

Each `prove_*` module has the promises of a component, next to their assumptions; `catalogue` collects them, `prover`
decides them with Yosys and ABC.
"""
