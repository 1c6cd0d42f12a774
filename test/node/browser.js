// Looks at the gateway's pages with headless Chromium, as a person would: / and /docs, a login, a call. One JSON line.
//
// node browser.js GATEWAY CHROMIUM IDENTIFIER PASSWORD
'use strict';
const { chromium } = require('playwright-core');

const [gateway, executablePath, identifier, password] = process.argv.slice(2);

async function main() {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  const page = await browser.newPage();
  const complaints = [];
  const elsewhere = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(gateway) && !url.startsWith('data:')) elsewhere.push(url);
  });
  const seen = {};

  await page.goto(gateway);
  seen.title = await page.title();
  await page.click('a[href="/docs"]');
  await page.waitForSelector('.opblock-tag-section', { timeout: 60000 });
  seen.operations = await page.evaluate(async () => {
    document.querySelectorAll('.opblock-tag-section:not(.is-open) .opblock-tag').forEach((tag) => tag.click());
    await new Promise((done) => setTimeout(done, 500));
    return document.querySelectorAll('.opblock').length;
  });
  seen.complaints_before_login = complaints.slice();

  async function tryOut(id) {
    const block = page.locator(`[id$="${id}"]`).first();
    await block.locator('.opblock-summary-control').click();
    await block.locator('.try-out__btn').click();
    await block.locator('.execute').click();
    const response = block.locator('.live-responses-table .response-col_status').first();
    await response.waitFor();
    const status = (await block.locator('.live-responses-table tbody .response-col_status').first().innerText()).slice(0, 3);
    const body = await block.locator('.live-responses-table .highlight-code').first().innerText();
    await block.locator('.opblock-summary-control').click();
    return { status, body };
  }

  await page.fill('#identifier', identifier);
  await page.fill('#password', 'not the password');
  await page.click('#log-in button');
  await page.waitForFunction(() => !document.getElementById('who').textContent.startsWith('Calls are made'));
  seen.refused = await page.innerText('#who');
  await page.fill('#password', password);
  await page.click('#log-in button');
  await page.waitForFunction(() => document.getElementById('who').textContent.startsWith('Logged in'), null, { timeout: 30000 });
  seen.logged_in = await page.innerText('#who');
  seen.me = await tryOut('get_auth_me');

  // whoever is quicker than the document
  let letThrough;
  const isLate = new Promise((resolve) => { letThrough = resolve; });
  await page.route('**/openapi.json', async (route) => { await isLate; await route.continue(); });
  await page.goto(`${gateway}/docs`);
  await page.fill('#identifier', identifier);
  await page.fill('#password', password);
  await page.click('#log-in button');
  await page.waitForFunction(() => document.getElementById('who').textContent.startsWith('Logged in'), null, { timeout: 30000 });
  seen.early = await page.innerText('#who');
  letThrough();
  await page.waitForFunction(() => document.getElementById('who').textContent.includes('carry a token'), null, { timeout: 60000 });
  await page.waitForSelector('.opblock-tag-section', { timeout: 60000 });
  await page.evaluate(() => document.querySelectorAll('.opblock-tag-section:not(.is-open) .opblock-tag').forEach((tag) => tag.click()));
  seen.me_early = await tryOut('get_auth_me');
  seen.complaints = complaints;
  seen.elsewhere = elsewhere;
  await browser.close();
  console.log(JSON.stringify(seen));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
