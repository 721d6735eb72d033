# Sources of the layer "status" (a snapshot's renderings; pure), headers included: what is not named here is
# not in the released archive.
kf_status_sources = \
	src/status/kf_assets.c \
	src/status/kf_assets.h \
	src/status/kf_form.c \
	src/status/kf_form.h \
	src/status/kf_html.c \
	src/status/kf_html.h \
	src/status/kf_html_connection.c \
	src/status/kf_html_tables.c \
	src/status/kf_plot.c \
	src/status/kf_plot.h \
	src/status/kf_render.h \
	src/status/kf_render_html.c \
	src/status/kf_render_json.c \
	src/status/kf_render_prometheus.c \
	src/status/kf_render_short.c \
	src/status/kf_state.c \
	src/status/kf_state.h \
	src/status/kf_text.c \
	src/status/kf_text.h

# What the dashboard is made of in the browser, as arrays of C.
kf_status_assets = \
	src/status/assets/style.css \
	src/status/assets/script.js \
	src/status/assets/icon.svg
