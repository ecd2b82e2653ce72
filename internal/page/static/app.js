// The page: it keeps the stream open, and brings each section in line with what that says.

import { measured, render, steady } from './dom.js';
import { language, switchLanguage, t } from './strings.js';
import { exact, relative, setClock, showExact, showsExact, tick } from './format.js';
import { Connection, apply, emptyState, fromSnapshot } from './state.js';
import { overview } from './overview.js';
import { pools } from './pools.js';
import { Services } from './services.js';
import { fields } from './filter.js';
import { conflicts, nodes, sessions } from './nodes.js';
import { Takeovers } from './takeovers.js';

const $ = (id) => document.getElementById(id);

let state = emptyState();
let served = null; // the version that has served this page
const views = { overview: {}, pools: {}, nodes: {}, sessions: {} };

const services = new Services($('services-filter'), $('services-body'), (text) => { keepFilter(); announce(text, 600); });
const takeovers = new Takeovers($('takeovers-body'));
const connection = new Connection('stream', receive, connectionChanged);

// receive takes an event of the stream. Sections follow with the next frame, all changes until then at once.
function receive(name, text) {
  measured(name, () => {
    const data = JSON.parse(text);
    setClock(data.now);
    if (name === 'snapshot') state = fromSnapshot(data);
    if (name === 'change') apply(state, data);
  });
  if (name === 'beat') return;
  served ??= state.about?.version;
  soon();
}

let waiting = false;
let arrived = false; // where the page's address leads to

function soon() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    measured('show', () => steady(show));
    if (!arrived) follow(true);
    arrived = true;
  });
}

let told = null; // the headline that was announced last

function show() {
  if (!state.about) return;
  showOverview();
  showPools();
  services.show(state);
  showNodes();
  showSessions();
  takeovers.show(state);
  render($('conflicts-body'), conflicts(state));
  showAbout();
  document.body.dataset.shown = 'yes';
}

function showOverview() {
  const view = views.overview;
  const { headline, body, text, errors } = overview(state, view.wide, () => { view.wide = true; steady(showOverview); });
  render($('headline'), headline);
  render($('overview-body'), body);
  document.title = errors > 0 ? `(${errors}) Fairlead` : 'Fairlead';
  if (told !== null && told !== text) announce(text, 1500);
  told = text;
}

function showPools() {
  const view = views.pools;
  render($('pools-body'), pools(state, view.wide, () => { view.wide = true; steady(showPools); }));
}

const showNodes = () => render($('nodes-body'), nodes(state, views.nodes, showNodes));
const showSessions = () => render($('sessions-body'), sessions(state, views.sessions, showSessions));

function showAbout() {
  const { controller, version, leader } = state.about;
  render($('about'), t('about', controller, version), ' ', leader && t('leaderIs', leader),
    served !== version && [' ', t('newVersion')]);
}

// The connection.

function connectionChanged() {
  announce(connection.state === 'live' ? t('saidLive') : t('saidLost'), 0);
  showConnection();
}

function showConnection() {
  const element = $('connection');
  const silent = connection.heard && Date.now() - connection.heard > 7000;
  element.dataset.state = connection.state;
  const text = t(connection.state) + (connection.heard && (silent || connection.state !== 'live') ? `, ${t('heard', relative(connection.heard, Date.now()))}` : '');
  if (element.textContent !== text) element.textContent = text;
  element.title = connection.heard ? exact(connection.heard) : '';
  const lost = connection.state === 'reconnecting' && Date.now() - connection.lost > 5000;
  document.body.classList.toggle('stale', lost);
  $('lost').hidden = !lost;
}

// Announcements for screen readers: of what changes by itself only the connection and the headline.

let announcing = 0;

function announce(text, delay) {
  clearTimeout(announcing);
  announcing = setTimeout(() => { $('announcer').textContent = text; }, delay);
}

// The page's address keeps the filter: #services?q=web&status=pending

function keepFilter() {
  const query = new URLSearchParams(Object.entries(services.filter));
  const hash = query.size > 0 ? `#services?${query}` : '#services';
  history.replaceState(null, '', hash);
}

function follow(scroll) {
  const [id, query] = location.hash.slice(1).split('?');
  const section = id && document.querySelector(`main > section[id="${CSS.escape(id)}"]`);
  if (!section) return;
  if (id === 'services' && query !== undefined) {
    const given = new URLSearchParams(query);
    services.set(Object.fromEntries(fields.map((f) => [f, given.get(f)])));
  }
  if (id === 'services' && query === undefined && Object.keys(services.filter).length > 0) keepFilter();
  if (!scroll) return;
  section.scrollIntoView();
  section.querySelector('h1, h2').focus({ preventScroll: true });
}

// Texts of the document itself, and its two switches.

function translate() {
  document.documentElement.lang = language() === 'zh' ? 'zh-Hans' : 'en';
  for (const element of document.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll('[data-label]:not(td)')) element.setAttribute('aria-label', t(element.dataset.label));
  $('language').textContent = t('otherLanguage');
  $('language').lang = language() === 'zh' ? 'en' : 'zh-Hans';
  $('language').title = t('otherLanguageTitle');
  $('times').textContent = showsExact() ? t('timesRelative') : t('timesExact');
  $('lost').textContent = t('lostHint');
  if (!state.about) $('headline').textContent = t('loading');
  told = null;
  showConnection();
}

$('language').onclick = () => { switchLanguage(); translate(); steady(show); };
$('times').onclick = () => { showExact(!showsExact()); translate(); tick(); };
$('skip').onclick = (e) => { e.preventDefault(); $('headline').focus(); };

document.addEventListener('keydown', (e) => {
  const typing = e.target.closest?.('input, select, textarea');
  if (e.key === '/' && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) {
    e.preventDefault();
    $('services').scrollIntoView();
    $('search')?.focus();
    $('search')?.select();
  }
});

// Where a link leads to is shown also if the page's address says so already.
document.addEventListener('click', (e) => {
  const link = e.target.closest?.('a[href^="#"]');
  if (link && link.hash === location.hash && link.id !== 'skip') { e.preventDefault(); follow(true); }
});
window.addEventListener('hashchange', () => follow(true));

translate();
follow(false); // the filter, before the first rows
setInterval(() => {
  if (document.hidden) return;
  connection.check();
  showConnection();
  tick();
  if (services.late() || takeovers.late()) soon();
}, 1000);
document.addEventListener('visibilitychange', () => { if (!document.hidden) { showConnection(); tick(); } });
connection.open();
