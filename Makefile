# SPDX-License-Identifier: GPL-2.0
#
# Each target calls one script.  `make help` lists them.

export BASE TREE TESTS LANES JOBS SECONDS V UPDATE RESET RERUN FULL RUNNER QEMU AVIC_CACHE
export CONFIG HOST VFIO KEXEC SERIAL POWER SSH_CONFIG LEASE_SECONDS BOOT_SECONDS

help: ## this list
	@sed --quiet 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand --tabs=14

run: setup ## fetch, apply, build, boot; compare the KVM selftests on base and stack
	@scripts/run

report: setup ## build/report/index.html: what the cache has of all bases, on one page
	@scripts/report

test: setup ## tests of the scripts on a toy tree, then of the pipeline on v6.12
	@tests/run

test-quick: setup ## the part of make test that needs no kernel, for each commit
	@tests/run --quick

check: setup ## the gates of KVM's maintainers, at each patch level: builds, checkpatch, sparse, Coccinelle
	@scripts/check

allmodconfig: setup ## all that sees what the stack changes, with everything configured; FULL=1 the whole tree
	@scripts/check allmodconfig

mutants: setup ## deliberate faults in AVIC's code, and which test catches each
	@scripts/mutate

models: setup ## every interleaving of the protocols that the stack changes, checked with spin
	@scripts/models

fetch: setup ## a clean base as a git tree; prints its folder
	@scripts/fetch

moved: setup ## bases that have a newer version, and newer kernels that Debian has
	@scripts/moved

apply: setup ## the series onto the base, exact; prints the tree's folder
	@scripts/apply

refresh: ## branch stack back into patches/
	@scripts/refresh

clean: ## sizes of what the cache holds; removes what no base needs
	@scripts/clean

setup: ## Debian packages; installs as root, else prints the command
	@scripts/setup

.PHONY: help run report test check allmodconfig mutants models fetch moved apply refresh clean setup test-quick
