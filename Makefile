# SPDX-License-Identifier: GPL-2.0
#
# The front door: each target calls one script.  `make help` lists them.

export BASE TREE TESTS LANES JOBS V UPDATE RESET RERUN FULL RUNNER QEMU AVIC_CACHE
export CONFIG HOST VFIO KEXEC SERIAL SSH_CONFIG LEASE_SECONDS BOOT_SECONDS

help: ## this list
	@sed --quiet 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand --tabs=10

run: setup ## fetch, apply, build, boot; the KVM selftests on base and stack, compared
	@ci/run

test: setup ## tests of the scripts on a toy tree, then of the pipeline on v6.12
	@tests/run

mutants: setup ## deliberate faults in AVIC's code, and which test catches each
	@ci/mutate

fetch: setup ## a clean base as a git tree; prints its folder
	@scripts/fetch

apply: setup ## the series onto the base, exact; prints the tree's folder
	@scripts/apply

refresh: ## branch stack back into patches/
	@scripts/refresh

setup: ## Debian packages; installs as root, else prints the command
	@scripts/setup

.PHONY: help run test mutants fetch apply refresh setup
