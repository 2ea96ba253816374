/** How the browser tests run: one Chromium that is on the machine, desktop and phone, against demos of their own. */
import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

const onThisMachine = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env.CARDSEAL_CHROMIUM ?? onThisMachine.find((path) => existsSync(path));
const asRoot = process.getuid?.() === 0;
const args = [
  ...(asRoot ? ['--no-sandbox'] : []),
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
];

export default defineConfig({
  testDir: './tests',
  outputDir: './test-results',
  globalSetup: './demo.js',
  // The demos are shared and the machine is small: one test at a time, each with orders of its own.
  workers: 1,
  // A test that passes at its second try only is named at the end of `cargo xtask test`, and is to be mended.
  retries: 1,
  // Room for a loaded machine: nothing here judges speed.
  timeout: 90_000,
  expect: { timeout: 20_000 },
  reporter: [['list']],
  use: {
    launchOptions: { executablePath, args },
    trace: 'off',
    screenshot: 'only-on-failure',
  },
  projects: [
    { name: 'desktop', testIgnore: /plain\.spec\.js/, use: { viewport: { width: 1280, height: 800 } } },
    {
      name: 'phone',
      testMatch: /pay\.spec\.js|hosted\.spec\.js|three_d_secure\.spec\.js|decline\.spec\.js|fields\.spec\.js|accessibility\.spec\.js|looks\.spec\.js|split-extras\.spec\.js/,
      use: { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
    },
    {
      // Chromium without a compiler has no WebAssembly (iOS in Lockdown Mode neither): the form's plain script does it all.
      name: 'plain',
      testMatch: /plain\.spec\.js|cvc\.spec\.js|veto\.spec\.js|card-rules\.spec\.js|fonts\.spec\.js|typing\.spec\.js|fields\.spec\.js|decline\.spec\.js|early\.spec\.js|split\.spec\.js|split-extras\.spec\.js|options\.spec\.js|process\.spec\.js/,
      use: { viewport: { width: 1280, height: 800 }, launchOptions: { executablePath, args: [...args, '--js-flags=--jitless'] } },
    },
  ],
});
