"""The audit log (G15): who did what with this relay, in lines that are a chain, with signed heads.

notes ─► keeper ─► log ─► HOME/audit/*.jsonl        what happened, in the order in which it is written down
                    └───► mark in the store, and in presence with neighbours
check ◄─ HOME/audit, marks, signed heads            whether anything was changed, cut, moved or taken out
"""
