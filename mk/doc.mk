# SPDX-License-Identifier: MIT
# The API reference, by Doxygen from the headers' comments.

.PHONY: api-doc
api-doc: ## write the API reference into build/api-doc (Doxygen); fails on a warning
	@tools/deps.sh api-doc
	@mkdir -p $(BUILD)/api-doc
	$(Q){ cat docs/api/Doxyfile; echo 'OUTPUT_DIRECTORY = $(BUILD)/api-doc'; } | doxygen -
