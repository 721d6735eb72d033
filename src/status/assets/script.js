// Keeps the page up to date: fetches its JSON, fills in what the server wrote with data-f, and draws the plots
// again as src/status/kf_plot.c draws them. Without it the page works too, as it was when it was loaded.
'use strict';

(() => {
  const PERIOD = 2000;
  const LONGEST = 60000;
  const WIDTH = 720, HEIGHT = 100, TOP = 4, MARK = 7;

  const all = (node, selector) => node.querySelectorAll(selector);
  const one = (node, selector) => node.querySelector(selector);

  // Numbers as people read them: src/status/kf_text.c has the same.

  function digits(n) {
    const decimals = n >= 99.95 || n === Math.floor(n) ? 0 : n >= 9.995 ? 1 : 2;
    const text = n.toFixed(decimals);
    return decimals ? text.replace(/\.?0+$/, '') : text;
  }

  function scaled(n, base, units) {
    let unit = 0;
    while (unit < units.length - 1 && n >= base * 0.9995) {
      n /= base;
      unit++;
    }
    return digits(n) + units[unit];
  }

  const count = (n) => n < 10000 && n === Math.floor(n) ? String(n) : scaled(n, 1000, ['', 'k', 'M', 'G', 'T']);
  const bytes = (n) => scaled(n, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB']);

  function duration(seconds) {
    if (seconds < 0.9995) {
      return digits(seconds < 0.00001 ? 0 : seconds * 1000) + ' ms';
    }
    if (seconds < 59.95) {
      return digits(seconds) + ' s';
    }
    const s = Math.floor(seconds + 0.5);
    const two = (unit, name, small, rest) => Math.floor(s / unit) + name + (small ? ' ' + small + rest : '');
    return s < 3600 ? two(60, ' min', s % 60, ' s')
      : s < 86400 ? two(3600, ' h', Math.floor(s % 3600 / 60), ' min')
        : two(86400, ' d', Math.floor(s % 86400 / 3600), ' h');
  }

  const iso = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19);
  const show = {
    count,
    bytes,
    duration,
    age: (s) => s > 0 ? duration(s) : '\u2013',
    text: (t) => t,
    rate: (n) => count(n) + '/s',
  };

  // Filling in

  function setText(node, text) {
    if (node.textContent !== text) {
      node.textContent = text;
    }
  }

  const reach = (data, path) => path.split('.').reduce((at, name) => at == null ? null : at[name], data);

  function fillField(node, value) {
    const unit = node.dataset.u || 'text';
    if (unit === 'time') {
      setText(node, value ? iso(value).replace('T', ' ') : '');
      node.setAttribute('datetime', value ? iso(value) + 'Z' : '');
    } else if (unit === 'meter') {
      node.value = value;
    } else {
      setText(node, value == null ? '' : String(show[unit](value)));
    }
  }

  function fill(root, data) {
    for (const node of all(root, '[data-f]')) {
      fillField(node, reach(data, node.dataset.f));
    }
    for (const node of all(root, '[data-if]')) {
      node.hidden = !reach(data, node.dataset.if);
    }
  }

  function setState(node, state) {
    node.classList.remove('healthy', 'degraded', 'failing');
    node.classList.add(state);
    setText(one(node, '.mark'), {healthy: '\u2713', degraded: '!', failing: '\u2715'}[state]);
  }

  // Plots

  const histories = new Map();
  let span = {step: 10, end: 0, window: 0};

  // Adds what came since the last time; the whole hour where that does not fit together.
  function remember(name, history) {
    const kept = histories.get(name) || {};
    for (const [field, values] of Object.entries(history)) {
      const whole = values.length >= span.window ? values : (kept[field] || []).concat(values);
      kept[field] = span.window ? whole.slice(-span.window) : [];
    }
    histories.set(name, kept);
  }

  function roundUp(value) {
    if (value <= 0) {
      return 1;
    }
    const power = Math.pow(10, Math.floor(Math.log10(value)));
    const step = [1, 2, 5].find((s) => value <= s * power * 1.000001);
    return (step || 10) * power;
  }

  const tenths = (n) => n % 10 ? Math.floor(n / 10) + '.' + n % 10 : String(n / 10);
  const point = (command, x, y) => command + tenths(x) + ' ' + tenths(y);

  class Series {
    constructor(values, scale, most) {
      this.values = values;
      this.scale = scale;
      this.most = most;
    }

    x(i) {
      return this.values.length > 1 ? Math.floor(i * WIDTH * 10 / (this.values.length - 1) + 0.5) : 0;
    }

    y(i) {
      const v = this.values[i];
      return v == null ? -1 : Math.floor((HEIGHT - v * this.scale / this.most * (HEIGHT - TOP)) * 10 + 0.5);
    }

    line() {
      let d = '';
      for (let i = 0; i < this.values.length; i++) {
        const before = this.y(i - 1), y = this.y(i), after = this.y(i + 1);
        if (y >= 0 && !(y === before && y === after)) {
          d += point(before < 0 ? 'M' : 'L', this.x(i), y) + (before < 0 && after < 0 ? 'h1' : '');
        }
      }
      return d;
    }

    area() {
      let d = '', start = 0;
      for (let i = 0; i <= this.values.length; i++) {
        const before = this.y(i - 1), y = this.y(i);
        if (y >= 0 && before < 0) {
          start = i;
        }
        if (y < 0 && before >= 0) {
          d += point('M', this.x(start), HEIGHT * 10);
          for (let k = start; k < i; k++) {
            if (k === start || k === i - 1 || this.y(k) !== this.y(k - 1) || this.y(k) !== this.y(k + 1)) {
              d += point('L', this.x(k), this.y(k));
            }
          }
          d += point('L', this.x(i - 1), HEIGHT * 10) + 'Z';
        }
      }
      return d;
    }
  }

  function setPath(figure, selector, d) {
    const path = one(figure, '.canvas ' + selector);
    if (path && path.getAttribute('d') !== d) {
      path.setAttribute('d', d);
    }
  }

  const scaleOf = (figure) => figure.dataset.kind === 'rate' ? 1 / span.step : 1;
  const namesOf = (figure) => [figure.dataset.first, figure.dataset.second].filter(Boolean);

  function draw(figure, history) {
    const scale = scaleOf(figure);
    const lines = namesOf(figure).map((field) => history[field] || []);
    const most = roundUp(Math.max(0, ...lines.flat().map((v) => v == null ? 0 : v * scale)));
    const series = lines.map((values) => new Series(values, scale, most));
    setPath(figure, '.area', series[0].area());
    setPath(figure, '.line.first', series[0].line());
    if (series[1]) {
      setPath(figure, '.line.second', series[1].line());
    }
    if (figure.dataset.marks) {
      const marks = history[figure.dataset.marks] || [];
      setPath(figure, '.marks', marks.map((v, i) => v > 0 ? point('M', series[0].x(i), 0) + 'v' + MARK : '').join(''));
    }
    setText(one(figure, '.most'), show[figure.dataset.kind](most));
    setText(one(figure, '.from'), span.window ? duration(span.window * span.step) + ' ago' : '');
    describe(figure, lines, scale);
  }

  function describe(figure, lines, scale) {
    const names = [...all(figure, 'figcaption .key')].map((key) => key.textContent.trim());
    let text = one(figure, 'b').textContent + ' over the last hour.';
    lines.forEach((values, i) => {
      const seen = values.filter((v) => v != null), last = values[values.length - 1];
      const say = (v) => show[figure.dataset.kind](v * scale);
      text += ' ' + names[i] + ': ' + (seen.length ? 'highest ' + say(Math.max(...seen)) +
        (last == null ? '' : ', now ' + say(last)) : 'nothing') + '.';
    });
    one(figure, '.canvas').setAttribute('aria-label', text);
  }

  // What a plot says of one moment, under the pointer or by the arrow keys.
  function read(figure, index) {
    const history = histories.get(figure.closest('article').dataset.connection);
    const output = one(figure, '.reading');
    const length = history ? history[figure.dataset.first].length : 0;
    if (index == null || !length) {
      setText(output, '');
      setPath(figure, '.cursor', '');
      return;
    }
    const at = Math.min(Math.max(index, 0), length - 1);
    figure.dataset.at = at;
    const values = namesOf(figure).map((field) => history[field][at])
      .map((v) => v == null ? '\u2013' : show[figure.dataset.kind](v * scaleOf(figure)));
    setText(output, iso(span.end - (length - 1 - at) * span.step).slice(11) + '  ' + values.join(' \u00b7 '));
    setPath(figure, '.cursor', 'M' + tenths(new Series(history[figure.dataset.first], 1, 1).x(at)) + ' 0V100');
  }

  function makeReadable(figure) {
    const canvas = one(figure, '.canvas');
    const length = () => (histories.get(figure.closest('article').dataset.connection) || {})[figure.dataset.first]?.length || 0;
    canvas.addEventListener('pointermove', (event) => {
      const box = canvas.getBoundingClientRect();
      read(figure, Math.round((event.clientX - box.left) / box.width * (length() - 1)));
    });
    canvas.addEventListener('pointerleave', () => read(figure, null));
    canvas.addEventListener('blur', () => read(figure, null));
    canvas.addEventListener('keydown', (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -Infinity, End: Infinity}[event.key];
      if (step) {
        event.preventDefault();
        const at = figure.dataset.at == null ? length() - 1 : Number(figure.dataset.at);
        read(figure, at + step);
      }
    });
  }

  // Rows of a table, told apart by their ids, so that what is open or chosen stays so.

  function rows(section, list, id, decorate) {
    const body = one(section, 'tbody');
    const template = one(section, 'template:not(.total)');
    const old = new Map([...body.rows].map((row) => [row.dataset.row, row]));
    let at = body.rows[0] || null;
    for (const item of list) {
      const key = String(item[id] || item.id + item.connection);
      let row = old.get(key);
      old.delete(key);
      if (!row) {
        row = template.content.firstElementChild.cloneNode(true);
        for (const node of [row, ...all(row, '[data-id]')]) {
          node.setAttribute(node.dataset.id, (node.dataset.link || '') + key);
        }
      }
      fill(row, decorate(item, row));
      if (row === at) {
        at = at.nextElementSibling;
      } else {
        body.insertBefore(row, at);
      }
    }
    for (const row of old.values()) {
      if (row === at) {
        at = at.nextElementSibling;
      }
      row.remove();
    }
  }

  function showTable(section, about, list, id, decorate) {
    const data = {error: about.error, empty: !about.error && !list.length, any: list.length > 0, more: about.next_before > 0};
    for (const node of all(section, ':scope > [data-if], :scope > form > [data-if], :scope > nav > [data-if]')) {
      node.hidden = !data[node.dataset.if];
    }
    fillField(one(section, '[data-f="error"]'), about.error);
    rows(section, list, id, decorate);
  }

  function showAlerts(alerts) {
    showTable(document.getElementById('alerts'), alerts, alerts.list, 'alert', (alert, row) => {
      row.className = [alert.active ? 'active' : 'over', 'level-' + alert.level, alert.acknowledged ? 'acknowledged' : ''].join(' ');
      return {...alert, active_text: alert.active ? 'goes on' : 'over',
        unacknowledged: alert.alert > 0 && !alert.acknowledged};
    });
  }

  function makeTotal(section, total) {
    const item = one(section, 'template.total').content.firstElementChild.cloneNode(true);
    item.dataset.name = total.name;
    one(item, 'a').href = '?' + new URLSearchParams({letters: total.name}) + '#letters';
    for (const button of all(item, 'button')) {
      button.value = total.name;
    }
    one(section, '.totals').append(item);
    return item;
  }

  function showLetters(letters) {
    const section = document.getElementById('letters');
    showTable(section, letters, letters.page, 'letter', (letter) => ({...letter, unmarked: !letter.replay}));
    const items = new Map([...all(section, '.totals li')].map((item) => [item.dataset.name, item]));
    for (const total of letters.connections) {
      const item = items.get(total.name) || makeTotal(section, total);
      item.hidden = !total.letters;
      fill(item, total);
    }
  }

  function showConnection(article, connection) {
    article.classList.remove('healthy', 'degraded', 'failing');
    article.classList.add(connection.state);
    setState(one(article, '.badge'), connection.state);
    fill(article, connection);
    remember(connection.name, connection.history);
    for (const figure of all(article, '.plot')) {
      draw(figure, histories.get(connection.name));
    }
  }

  function sumsOf(connections) {
    const sums = {};
    for (const {gauges} of connections) {
      for (const [name, value] of Object.entries(gauges)) {
        sums[name] = (sums[name] || 0) + (typeof value === 'number' ? value : 0);
      }
    }
    return sums;
  }

  function update(data) {
    const server = data.server;
    if (server.generation !== Number(document.body.dataset.generation)) {
      // Connections may have come or gone: the server writes the page anew.
      location.reload();
      return;
    }
    document.title = document.title.replace(/^[a-z]+/, data.state);
    setState(document.getElementById('overall'), data.state);
    const percent = server.store_limit_bytes > 0 ? Math.floor(server.store_bytes * 100 / server.store_limit_bytes) : 0;
    const whole = {...data, sums: sumsOf(data.connections), store_percent: percent};
    for (const node of all(document, '#overall [data-f], .server [data-f], #live [data-f]')) {
      fillField(node, reach(whole, node.dataset.f));
    }
    span = {step: data.history.step_seconds, end: data.history.end_time, window: data.history.window};
    const named = new Map(data.connections.map((c) => [c.name, c]));
    for (const article of all(document, 'article[data-connection]')) {
      const connection = named.get(article.dataset.connection);
      if (connection) {
        showConnection(article, connection);
      }
    }
    // Neither is there without a store, or while it can't be read.
    if (data.alerts && data.dead_letters) {
      showAlerts(data.alerts);
      showLetters(data.dead_letters);
    }
  }

  // Fetching

  const query = new URLSearchParams(location.search);
  let failures = 0, since = 0, timer = 0, fetching = false, freshAt = Date.now();

  function address() {
    const wanted = new URLSearchParams({format: 'json'});
    for (const name of ['letters', 'before']) {
      if (query.has(name)) {
        wanted.set(name, query.get(name));
      }
    }
    if (since) {
      wanted.set('since', since);
    }
    return location.pathname + '?' + wanted;
  }

  function showLife(fresh) {
    const live = document.getElementById('live');
    live.classList.toggle('stale', !fresh);
    if (fresh) {
      if (!one(live, 'time')) {
        live.replaceChildren('As of ', Object.assign(document.createElement('time'), {}), ' UTC, live');
        Object.assign(one(live, 'time').dataset, {f: 'time', u: 'time'});
      } else if (!live.textContent.endsWith('live')) {
        live.append(', live');
      }
    } else {
      live.textContent = 'Stale since ' + iso(freshAt / 1000).replace('T', ' ') + ' UTC: the server does not answer';
    }
  }

  async function fetchNow() {
    clearTimeout(timer);
    if (fetching || document.hidden) {
      return;
    }
    fetching = true;
    try {
      const answer = await fetch(address(), {cache: 'no-store', credentials: 'same-origin',
        signal: AbortSignal.timeout(10000)});
      if (!answer.ok) {
        throw new Error('status ' + answer.status);
      }
      const data = await answer.json();
      failures = 0;
      freshAt = Date.now();
      showLife(true);
      update(data);
      since = data.history.end_time || 0;
    } catch (error) {
      failures++;
      showLife(false);
    } finally {
      fetching = false;
      timer = setTimeout(fetchNow, Math.min(PERIOD * 2 ** Math.min(failures, 5), LONGEST));
    }
  }

  // Changes

  function tell(text, bad) {
    const notice = document.getElementById('notice');
    notice.hidden = false;
    notice.classList.toggle('bad', bad);
    setText(notice, text);
  }

  async function send(form, button) {
    const body = new URLSearchParams(new FormData(form));
    if (button && button.name) {
      body.set(button.name, button.value);
    }
    const answer = await fetch(form.action, {method: 'POST', body, headers: {Accept: 'application/json'},
      credentials: 'same-origin'});
    let said = null;
    try {
      said = await answer.json();
    } catch (error) {
      said = {message: 'The server answered ' + answer.status};
    }
    tell(said.message, !answer.ok);
    fetchNow();
  }

  document.addEventListener('submit', (event) => {
    event.preventDefault();
    const {target, submitter} = event;
    send(target, submitter).catch(() => tell('The server does not answer; nothing is known of the change', true));
  });

  document.addEventListener('click', async (event) => {
    const link = event.target.closest('a[data-link="?preview="]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) {
      return;
    }
    event.preventDefault();
    const cell = one(link.closest('tr'), '.message');
    const shown = one(cell, '.preview');
    if (shown) {
      shown.remove();
      return;
    }
    const preview = Object.assign(document.createElement('pre'), {className: 'preview', tabIndex: 0});
    try {
      const answer = await fetch(link.href, {credentials: 'same-origin'});
      preview.textContent = await answer.text();
    } catch (error) {
      preview.textContent = 'The server does not answer.';
    }
    cell.append(preview);
  });

  document.addEventListener('visibilitychange', fetchNow);
  all(document, '.plot').forEach(makeReadable);
  fetchNow();
})();
