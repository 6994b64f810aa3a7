# `make run` and `make test` need python3 (3.11 or newer), python3-pip, make and git; nothing else.
PYTHON ?= python3
UV := .tools/bin/uv
export UV_PYTHON_DOWNLOADS := never
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
# uv takes the certificate of a proxy from SSL_CERT_FILE, pip from a variable of its own.
ifdef SSL_CERT_FILE
export PIP_CERT ?= $(SSL_CERT_FILE)
endif
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
LOCKED_FROM := pyproject.toml $(addsuffix /pyproject.toml,$(PLUGINS))

.PHONY: run test hubs browser node home-assistant test-vm vm-image test-release check deb deb-roots test-deb test-deb-vm lock format clean

run: .venv/.installed
	@scripts/run

# Most of the tests wait for other processes, so more of them than there are cores go at a time.
TEST_WORKERS ?= 4
# Where others use the machine too, one of 12,000 tests misses its time-out now and then. It runs once more, and the summary
# names it (RERUN): a test that is named there often is to be mended. `make test TEST_RERUNS=0` shows them as failures.
TEST_RERUNS ?= 1
TEST := .venv/bin/pytest -raR --reruns $(TEST_RERUNS) --rerun-show-tracebacks

test: .venv/.installed .cache/onvif/.installed hubs browser node
	$(TEST) -m "alone and not release"
	$(TEST) -m "not alone and not release" --numprocesses $(TEST_WORKERS) --dist worksteal

# Independent parts that judge our ONVIF, in an environment of their own; without it those tests are skipped.
ONVIF_LOCK := plugins/external_discovery/tests/onvif/requirements.lock
.cache/onvif/.installed: $(UV) $(ONVIF_LOCK)
	$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .cache/onvif
	$(UV) pip sync --quiet --python .cache/onvif/bin/python --require-hashes $(ONVIF_LOCK)
	touch $@

# Players and hubs that read live views, and Playwright, which drives Debian's Chromium, with axe: each in an environment of
# its own. Where PyPI has no packages for this machine, or cannot be reached, those tests are skipped.
HUBS_LOCK := tests/web/views/hubs/requirements.lock
BROWSER_LOCK := plugins/web_console/tests/browser/requirements.lock
hubs: .cache/hubs/.installed
browser: .cache/browser/.installed
.cache/hubs/.installed: $(UV) $(HUBS_LOCK)
	@$(call optional,hubs,$(HUBS_LOCK),the recipes for live views)
.cache/browser/.installed: $(UV) $(BROWSER_LOCK)
	@$(call optional,browser,$(BROWSER_LOCK),the web console in a browser)
# Install the lock $(2) into the environment .cache/$(1); without it say that the tests of $(3) will be skipped.
define optional
rm -f .cache/$(1)/.installed; \
if $(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .cache/$(1) && \
	$(UV) pip sync --quiet --python .cache/$(1)/bin/python --require-hashes $(2); then touch .cache/$(1)/.installed; \
	else echo "$(2) cannot be installed here: the tests of $(3) will be skipped"; fi
endef

# Home Assistant, which judges what the agent tells it of its cameras; 300 MB, for `make test-release` alone.
HOME_ASSISTANT_LOCK := plugins/mqtt_bridge/tests/home_assistant/requirements.lock
home-assistant: .cache/homeassistant/.installed
.cache/homeassistant/.installed: $(UV) $(HOME_ASSISTANT_LOCK)
	@$(call optional,homeassistant,$(HOME_ASSISTANT_LOCK),descriptions by Home Assistant)

# WebSockets for Node and the compiler that judges client.d.ts; without npm, or its registry, those tests are skipped.
NODE_LOCK := clients/javascript/tests/package-lock.json
node: .cache/node/.installed
.cache/node/.installed: $(NODE_LOCK)
	@mkdir -p .cache/node
	@cp clients/javascript/tests/package.json $(NODE_LOCK) .cache/node/
	@if npm --prefix .cache/node ci --ignore-scripts --no-audit --no-fund --silent 2>/dev/null; then touch $@; \
		else echo "npm installs nothing here: the tests of the JavaScript client will be skipped"; fi

# With real V4L2 devices, udev and systemd, in a virtual machine: tests/vm/README.md.
VM_SUITE ?= bookworm
# As the unprivileged account that the package uses; as root too before a release.
VM_USERS ?= camera
VM_TESTS ?=
test-vm: .venv/.installed
	tests/vm/run --tests --suite $(VM_SUITE) --as $(VM_USERS) $(VM_OPTIONS) -- $(VM_TESTS)

# What `make test-vm` boots. It takes a minute, which `.ci/run` spends beside the checks.
vm-image: .venv/.installed
	tests/vm/run --image --suite $(VM_SUITE)

# What takes minutes; before a release.
test-release: .venv/.installed home-assistant
	.venv/bin/pytest -m "release or alone"
	scripts/mutation
	packaging/deb/test/reproducible amd64 arm64
	packaging/deb/test/lint
	packaging/deb/test/dist-upgrade
	packaging/deb/test/arm64
	packaging/container/test/chroot
	$(MAKE) test-deb-vm
	$(MAKE) test-vm VM_USERS=camera,root VM_SUITE=trixie VM_OPTIONS=--release

check: .venv/.installed
	scripts/check

format: .venv/.installed
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

# pip installs into a folder of its own, so it needs neither ensurepip nor a word to PEP 668.
$(UV):
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action ignore --target .tools 'uv>=0.9,<1'

.venv/.installed: $(UV) requirements.lock $(LOCKED_FROM)
	$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" .venv
	$(UV) pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python .venv/bin/python --no-deps $(addprefix -e ,. $(PLUGINS))
	touch $@

# Debian packages for amd64 and arm64 into dist/deb: packaging/deb/README.md. DEB_ARCHS=amd64 builds only those.
DEB_ARCHS ?= amd64 arm64
deb: .venv/.installed
	packaging/deb/build $(DEB_ARCHS)

# What `make test-deb` unpacks, kept for a day. It takes minutes, which `.ci/run` spends beside the checks.
deb-roots:
	packaging/deb/test/roots $(DEB_SUITES)

# The packages of this architecture in fresh chroots of Debian 12 and 13; what the units expose.
test-deb:
	packaging/deb/test/security
	packaging/deb/test/chroot $(DEB_SUITES)

# The packages for amd64 in a virtual machine with systemd and cameras: installation, faults, upgrade. DEB_VM_TESTS passes words to pytest.
test-deb-vm: .venv/.installed
	packaging/deb/test/vm $(DEB_VM_TESTS)

# All versions with their hashes, for every Python and platform that we support.
lock: $(UV)
	scripts/lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --output-file $(ONVIF_LOCK) $(ONVIF_LOCK:.lock=.in)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --output-file $(HUBS_LOCK) $(HUBS_LOCK:.lock=.in)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --output-file $(BROWSER_LOCK) $(BROWSER_LOCK:.lock=.in)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --output-file $(HOME_ASSISTANT_LOCK) $(HOME_ASSISTANT_LOCK:.lock=.in)

clean:
	rm -rf .venv .tools .cache dist build .pytest_cache .mypy_cache .ruff_cache
