"""What a command that redeploys points tells a script: judged points, their mean, files, an exit status."""
