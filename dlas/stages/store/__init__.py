"""Results of stages under their keys: keys, the code behind them, entries on disk."""
