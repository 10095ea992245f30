"""`python -m reslab`, also under torchrun: `torchrun --nproc-per-node 2 -m reslab train RECIPE`."""

from reslab.cli.main import main

main()
